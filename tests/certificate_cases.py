"""Certificates of every proposition, and changes to them; the tests of certificates share them."""

import copy
import dataclasses
import json

from vaetheory.certify import _certificate as files
from vaetheory.certify import _recheck, _runner
from vaetheory.certify._checker import Checker
from vaetheory.certify.propositions import PROPOSITIONS

# What takes long is made smaller here; the default set runs on the command line.
SMALLER = {"3f": {"f": [["0", "0"], ["1", "0"], ["0", "0.5"]], "z0": "1", "sigma_0": "0.02"}}


def all_made():
    """One certificate a proposition, as documents."""
    out = {}
    for label, proposition in PROPOSITIONS.items():
        inputs = SMALLER.get(label, proposition.instances[0])
        if label == "3f":
            proposition = with_pieces(proposition, "4")
        out[label] = _runner.prove(proposition, inputs).as_json()
    return out


def all_again(made):
    """What the checker's arithmetic proves of each, once."""
    return {
        label: PROPOSITIONS[label].prove(Checker(), document["inputs"], document["witness"])
        for label, document in made.items()
    }


def with_pieces(proposition, pieces):
    return dataclasses.replace(proposition, prepare=lambda inputs: {"pieces": pieces})


def outcome(document, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return _recheck.check(path)


def resealed(document, *, sentence=False):
    """The document with a digest that fits, and a sentence too: what a clever forger would do."""
    document = copy.deepcopy(document)
    if sentence:
        proposition = PROPOSITIONS[document["label"]]
        proved = {k: files._read(k, v) for k, v in document["proved"].items()}
        document["sentence"] = proposition.sentence(document["inputs"], proved)
    document["digest"] = files.digest(document)
    return document


def leaves(value, path=()):
    """Paths of all that is not a container."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(v, (*path, k))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from leaves(v, (*path, i))
    else:
        yield path


def at(document, path):
    for step in path:
        document = document[step]
    return document


def with_change(document, path, value):
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return document
