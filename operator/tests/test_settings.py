from __future__ import annotations

import pytest

from codesession_operator.__main__ import main
from codesession_operator.settings import PREFIX, OperatorSettings


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        (
            "WORKER",
            "3",
            "CODESESSION_OPERATOR_WORKER is no setting; did you mean CODESESSION_OPERATOR_WORKERS?",
        ),
        ("WORKERS", "0", "CODESESSION_OPERATOR_WORKERS: input should be greater than or equal to 1"),
        ("LOG_LEVEL", "loud", "CODESESSION_OPERATOR_LOG_LEVEL: input should be"),
        ("QUOTA", "{", '"quota"'),
        ("CLUSTER_ADDRESSES", "$(NODE),10.0.0.1", "CODESESSION_OPERATOR_CLUSTER_ADDRESSES: "),
        ("DENIED_CIDRS", '["10.0.0.0/40"]', "CODESESSION_OPERATOR_DENIED_CIDRS: "),
    ],
)
def test_what_cannot_work_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    complaint: str,
) -> None:
    monkeypatch.setenv(PREFIX + variable, value)
    assert main() == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_addresses_are_taken_and_names_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}CLUSTER_ADDRESSES", "10.0.0.1,fd00::1, api.example.org,")
    assert OperatorSettings().cluster_addresses == ("10.0.0.1", "fd00::1")


def test_without_a_word_all_private_networks_are_denied() -> None:
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(OperatorSettings().denied_cidrs)


def test_every_setting_says_what_it_is() -> None:
    for name, field in OperatorSettings.model_fields.items():
        assert (field.description or "").endswith("."), name
