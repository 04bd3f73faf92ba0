"""Every package, tool and font that the image promises, used as a program uses it; a test each.

One program checks a group of them in one run, since a sandbox has its libraries read from disk only once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from e2e.tests.cluster.full import sandbox as programs
from e2e.tests.cluster.full.sandbox import Sandbox

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

SCIENCE = {
    "numpy": "import numpy; assert numpy.linalg.det(numpy.eye(3)) == 1",
    "pandas": "import pandas; assert pandas.DataFrame({'a': [1, 2]})['a'].describe()['mean'] == 1.5",
    "pyarrow": """
import pandas
pandas.DataFrame({"a": [1, 2]}).to_parquet("/tmp/a.parquet")
assert list(pandas.read_parquet("/tmp/a.parquet")["a"]) == [1, 2]
""",
    "scipy": "from scipy import optimize as o; assert abs(o.brentq(lambda x: x * x - 4, 0, 9) - 2) < 1e-9",
    "scikit-learn": """
from sklearn.ensemble import RandomForestClassifier
model = RandomForestClassifier(4, random_state=0, n_jobs=2).fit([[0], [1]] * 8, [0, 1] * 8)
assert list(model.predict([[0], [1]])) == [0, 1]
""",
    "statsmodels": """
import statsmodels.api as sm
assert abs(sm.OLS([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]).fit().params[0] - 2) < 1e-9
""",
    "sympy": "import sympy; x = sympy.Symbol('x'); assert sympy.integrate(2 * x, x) == x**2",
    "networkx": "import networkx as n; assert n.shortest_path(n.path_graph(4), 0, 3) == [0, 1, 2, 3]",
}
PICTURES = {
    "matplotlib": """
import matplotlib.pyplot as plt
plt.plot([1, 4, 2]); plt.title("é"); plt.savefig("/tmp/m.png"); plt.savefig("/tmp/m.svg"); plt.close()
""",
    "matplotlib has its list of fonts from the image": """
import matplotlib, os
cached = [os.path.realpath(each.path) for each in os.scandir(matplotlib.get_cachedir())]
(fonts,) = [path for path in cached if "fontlist" in path]
assert fonts.startswith("/opt/codesession/"), fonts
""",
    "seaborn": """
import seaborn, matplotlib.pyplot as plt
seaborn.heatmap([[1, 2], [3, 4]]).figure.savefig("/tmp/s.png"); plt.close()
""",
    "plotly": """
import plotly.express as px
px.line(x=[1, 2], y=[3, 4]).write_html("/tmp/p.html"); assert open("/tmp/p.html").read().count("plotly") > 1
""",
    "pillow": """
from PIL import Image, features
for suffix in ("png", "jpg", "gif", "webp", "bmp", "tiff", "ico"):
    Image.new("RGB", (32, 32), "red").save(f"/tmp/i.{suffix}"); Image.open(f"/tmp/i.{suffix}").load()
""",
    "opencv-headless": """
import cv2, numpy
image = numpy.zeros((64, 64, 3), numpy.uint8); cv2.circle(image, (32, 32), 9, (255, 255, 255), -1)
assert cv2.imwrite("/tmp/c.png", image)
assert len(cv2.findContours(cv2.imread("/tmp/c.png", 0), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]) == 1
""",
    "graphviz": """
import graphviz
assert b"a&#45;&gt;b" in graphviz.Source("digraph { a -> b }").pipe("svg")
""",
    "fonts DejaVu, Liberation and Noto CJK": """
from matplotlib import font_manager
for family in ("DejaVu Sans", "Liberation Sans", "Liberation Serif", "Liberation Mono", "Noto Sans CJK JP"):
    font_manager.findfont(family, fallback_to_default=False)
""",
    "CJK text is drawn": """
import warnings; warnings.simplefilter("error")
import matplotlib.pyplot as plt
for family, text in (("JP", "日本語テスト"), ("SC", "简体中文"), ("KR", "한국어")):
    try:
        from matplotlib import font_manager
        font_manager.findfont(f"Noto Sans CJK {family}", fallback_to_default=False)
    except ValueError:  # one file has the letters of all, under the name of the first
        family = "JP"
    with plt.rc_context({"font.family": f"Noto Sans CJK {family}"}):
        plt.title(text); plt.savefig("/tmp/j.png"); plt.close()
""",
}
DOCUMENTS = {
    "openpyxl": """
import openpyxl
book = openpyxl.Workbook(); book.active.append(["é", 4711]); book.save("/tmp/table.xlsx")
assert openpyxl.load_workbook("/tmp/table.xlsx").active["B1"].value == 4711
""",
    "xlsxwriter": """
import xlsxwriter
book = xlsxwriter.Workbook("/tmp/chart.xlsx"); book.add_worksheet().write("A1", 1); book.close()
""",
    "python-docx": """
import docx
text = docx.Document(); text.add_paragraph("words 4711 日本語"); text.save("/tmp/text.docx")
""",
    "python-pptx": """
import pptx
slides = pptx.Presentation(); slide = slides.slides.add_slide(slides.slide_layouts[0])
slide.shapes.title.text = "slide 4711"; slides.save("/tmp/slides.pptx")
""",
    "reportlab": """
from reportlab.pdfgen import canvas
page = canvas.Canvas("/tmp/page.pdf"); page.drawString(72, 720, "page 4711"); page.showPage(); page.save()
""",
    "pypdf": """
import pypdf
assert "4711" in pypdf.PdfReader("/tmp/page.pdf").pages[0].extract_text()
""",
    "pdfplumber": """
import pdfplumber
with pdfplumber.open("/tmp/page.pdf") as pdf:
    assert "4711" in pdf.pages[0].extract_text(); pdf.pages[0].to_image().save("/tmp/plumbed.png")
""",
    "lxml": "from lxml import etree; assert etree.fromstring('<a><b/></a>').xpath('//b')",
    "beautifulsoup4": "import bs4; assert bs4.BeautifulSoup('<p>é', 'lxml').p.text == 'é'",
    "tabulate": "import tabulate; assert '|' in tabulate.tabulate([[1]], tablefmt='pipe')",
    "requests": "import requests; assert requests.Request('GET', 'http://x/').prepare().url == 'http://x/'",
    "PyYAML": "import yaml; assert yaml.safe_load('a: [1]') == {'a': [1]}",
}
R = {
    "ggplot2": """
library(ggplot2)
ggsave("/tmp/g.png", ggplot(data.frame(x = 1:3, y = 3:1), aes(x, y)) + geom_line(), width = 3, height = 3)
stopifnot(file.size("/tmp/g.png") > 1000)
""",
    "dplyr": "library(dplyr); stopifnot(nrow(filter(mtcars, cyl == 4)) == 11)",
    "tidyr": "library(tidyr); stopifnot(nrow(pivot_longer(data.frame(a = 1, b = 2), everything())) == 2)",
    "readr": "library(readr); stopifnot(read_csv(I('a\\n1'), show_col_types = FALSE)$a == 1)",
    "readxl": "library(readxl); stopifnot(nrow(read_excel(readxl_example('datasets.xlsx'))) > 9)",
    "stringr": "library(stringr); stopifnot(str_to_upper('é') == 'É')",
    "lubridate": "library(lubridate); stopifnot(month(ymd('2026-02-03')) == 2)",
    "data.table": "library(data.table); stopifnot(data.table(a = 1:3)[a > 1, .N] == 2)",
    "jsonlite": "library(jsonlite); stopifnot(fromJSON('[1, 2]')[2] == 2)",
    "Cairo": """
library(Cairo)
CairoPNG("/tmp/cairo.png"); plot(1:3, main = "é"); dev.off()
stopifnot(file.size("/tmp/cairo.png") > 1000)
""",
    "png() without a display": """
png("/tmp/plain.png"); plot(1:3); dev.off()
stopifnot(file.size("/tmp/plain.png") > 1000)
""",
}
TOOLS = {
    "LibreOffice makes PDFs of what Word, Excel and PowerPoint make, with its profile in /tmp": """
cd /tmp
python3 -c 'import docx, openpyxl, pptx
d = docx.Document(); d.add_paragraph("words 4711 日本語"); d.save("words.docx")
b = openpyxl.Workbook(); b.active.append(["cell", 4712]); b.save("cells.xlsx")
p = pptx.Presentation(); p.slides.add_slide(p.slide_layouts[0]).shapes.title.text = "slide 4713"
p.save("slide.pptx")'
soffice --headless --convert-to pdf words.docx cells.xlsx slide.pptx
pdftotext words.pdf - | grep 'words 4711 日本語'
pdftotext cells.pdf - | grep 4712
pdftotext slide.pdf - | grep 4713
pdffonts words.pdf | grep -i cjk
test -d /tmp/.config/libreoffice
""",
    "LibreOffice has its profile from the image": """
mkdir /tmp/new; HOME=/tmp/new soffice --version; HOME=/tmp/new libreoffice --version
test -f /tmp/new/.config/libreoffice/4/user/registrymodifications.xcu
""",
    "pandoc": "echo '# é' | pandoc -o /tmp/p.docx; pandoc /tmp/p.docx -t markdown | grep é",
    "poppler": """
cd /tmp; python3 -c 'from reportlab.pdfgen.canvas import Canvas
p = Canvas("a.pdf"); p.drawString(9, 9, "a"); p.save()'
pdfinfo a.pdf | grep 'Pages: *1'; pdftoppm -png -r 30 a.pdf a; ls a-1.png
""",
    "qpdf": "cd /tmp; qpdf --empty --pages a.pdf a.pdf -- two.pdf; qpdf --show-npages two.pdf | grep 2",
    "ghostscript": """
cd /tmp; gs -q -dNOPAUSE -dBATCH -sDEVICE=png16m -r30 -sOutputFile=gs.png a.pdf; file gs.png | grep PNG
""",
    "tesseract": """
cd /tmp; python3 -c 'from PIL import Image, ImageDraw, ImageFont as f
i = Image.new("RGB", (500, 90), "white")
ImageDraw.Draw(i).text((9, 9), "Words 4711", "black", f.truetype("DejaVuSans.ttf", 60)); i.save("read.png")'
tesseract read.png - | grep 'Words 4711'
""",
    "ffmpeg": """
cd /tmp; ffmpeg -v error -y -f lavfi -i testsrc=d=1:s=64x64 -f lavfi -i sine=d=1 -shortest v.mp4
ffprobe -v error -show_entries stream=codec_name -of csv=p=0 v.mp4 | sort | paste -sd, | grep aac,h264
""",
    "ImageMagick": "cd /tmp; convert -size 20x20 xc:red red.jpg; identify red.jpg | grep 'JPEG 20x20'",
    "graphviz": "echo 'digraph { a -> b }' | dot -Tpng | file - | grep PNG",
    "jq": "echo '{\"a\": [1, 2]}' | jq -e '.a | add == 3'",
    "sqlite3": "sqlite3 /tmp/t.db 'create table t (a); insert into t values (3); select a+3 from t' | grep 6",
    "git": """
cd /tmp; git init -q r; cd r; echo a > a; git add a
git -c user.name=a -c user.email=a@b commit -qm one; git log --oneline | grep one
""",
    "make": "cd /tmp; printf 'all:\\n\\t@echo made\\n' > Makefile; make | grep made",
    "zip": "cd /tmp; echo z > z; zip -q z.zip z; unzip -p z.zip z | grep z",
    "file": "file /usr/bin/python3.13 | grep ELF",
    "fontconfig has its cache from the image": """
fc-match 'Noto Sans CJK JP' | grep CJK; fc-match 'Liberation Sans' | grep Liberation
fc-cache -v 2>&1 | grep '/usr/share/fonts/opentype/noto: skipping, existing cache is valid'
""",
}


@dataclass(frozen=True, slots=True)
class Group:
    lang: str
    checks: Mapping[str, str]
    program: Callable[[Mapping[str, str]], str]


GROUPS = {
    "science": Group("py", SCIENCE, programs.python),
    "pictures": Group("py", PICTURES, programs.python),
    "documents": Group("py", DOCUMENTS, programs.python),
    "r": Group("r", R, programs.r),
    "tools": Group("bash", TOOLS, programs.bash),
}


@pytest.fixture(scope="module")
def failures(sandbox: Sandbox) -> Callable[[str], dict[str, str]]:
    """Of a group, by what is checked. Each group runs once."""

    @functools.cache
    def of(name: str) -> dict[str, str]:
        group = GROUPS[name]
        answer = sandbox.run(group.program(group.checks), group.lang)
        assert programs.names(answer) == [], "a check wrote to the workspace"
        return programs.failures(answer, group.lang)

    return of


@pytest.mark.parametrize(
    ("group", "name"),
    [pytest.param(group, name, id=f"{group}: {name}") for group in GROUPS for name in GROUPS[group].checks],
)
def test_it_works(failures: Callable[[str], dict[str, str]], group: str, name: str) -> None:
    assert failures(group)[name] == ""
