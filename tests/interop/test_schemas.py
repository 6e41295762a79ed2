"""The JSON forms are as their schemas in `wit/` say."""

import json
import pathlib

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests" / "cases").glob("*/*.json"))


def validator(name):
    schema = json.loads((ROOT / "wit" / f"{name}.schema.json").read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


REQUEST, ANSWER = validator("request"), validator("answer")


@pytest.mark.parametrize("folder", sorted({case.parent.name for case in CASES}))
def test_requests_and_answers_are_as_the_schemas_say(folder, linkgate, tmp_path):
    judged = 0
    # Every tenth case of each folder: a process each.
    for case in [case for case in CASES if case.parent.name == folder][::10]:
        request = json.loads(case.read_text())["request"]
        path = tmp_path / "request.json"
        path.write_text(request if isinstance(request, str) else json.dumps(request))
        ran = linkgate("verify", "--format", "json", "--request", path, cwd=tmp_path)
        answer = json.loads(ran.stdout)
        ANSWER.validate(answer)
        assert ran.returncode == {"accept": 0, "reject": 1, "undecided": 2}[answer["decision"]]
        if answer.get("code") == "request-malformed":
            continue
        REQUEST.validate(json.loads(path.read_text()))
        judged += 1
    assert judged or folder == "request"


def test_what_is_no_request_has_an_answer_too(linkgate, tmp_path):
    path = tmp_path / "request.json"
    for text in (b"", b"\xff", b"{}", b'{"layout": {"text": ""}, "layout": {"text": ""}}'):
        path.write_bytes(text)
        ran = linkgate("verify", "--format", "json", "--request", path, cwd=tmp_path)
        answer = json.loads(ran.stdout)
        ANSWER.validate(answer)
        assert (ran.returncode, answer["decision"], answer["code"]) == (2, "undecided", "request-malformed")
        # For people it is an error that names the file.
        ran = linkgate("verify", "--request", path, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (2, "") and "request.json" in ran.stderr


def test_what_the_schema_refuses():
    request = {"layout": {"text": ""}, "trust": {"signed_by": []}, "documents": [], "now": 0, "more": 1}
    with pytest.raises(jsonschema.ValidationError):
        REQUEST.validate(request)
    with pytest.raises(jsonschema.ValidationError):
        ANSWER.validate({"decision": "perhaps"})
