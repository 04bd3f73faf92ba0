/** The first rows of comma- or tab-separated text, by RFC 4180: quotes around a field, doubled within. */
export function rows(text: string, separator: string, limit: number): string[][] {
  const found: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length && found.length < limit) {
    let field = "";
    if (text[at] === '"') {
      const end = closing(text, at + 1);
      field = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    }
    const begin = at;
    while (at < text.length && text[at] !== separator && text[at] !== "\n") at++;
    row.push(field + text.slice(begin, at).replace(/\r$/, ""));
    if (text[at] !== separator) {
      found.push(row);
      row = [];
    }
    at++;
  }
  return found;
}

function closing(text: string, at: number): number {
  for (;;) {
    const end = text.indexOf('"', at);
    if (end < 0) return text.length;
    if (text[end + 1] !== '"') return end;
    at = end + 2;
  }
}
