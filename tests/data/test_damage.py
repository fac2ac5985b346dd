"""Files damaged at random: the answer is a table or a DataError, never another exception."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from equipoise.data import Table, load
from equipoise.errors import DataError

RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(size=(12, 4)), 2)
ROWS = "\n".join(",".join(map(str, row)) + ",red" for row in NUMBERS)
CSV = ("x,y,u,v,c\n" + ROWS).encode()
ARFF = (
    "@relation t\n@attribute x real\n@attribute y real\n@attribute u real\n@attribute v real\n"
    "@attribute c {red,blue}\n@data\n" + ROWS
).encode()


def mat(compressed):
    out = io.BytesIO()
    savemat(out, {"sarcos": RNG.normal(size=(5, 28)), "note": "text"}, do_compression=compressed)
    return out.getvalue()


FILES = {
    "t.csv": CSV,
    "t.csv.gz": gzip.compress(CSV, mtime=0),
    "t.arff": ARFF,
    "plain.mat": mat(compressed=False),
    "packed.mat": mat(compressed=True),
}


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_damaged_files_give_a_table_or_a_data_error(tmp_path_factory, name, data):
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 40))]
            case "insert":
                content[place:place] = data.draw(st.binary(min_size=1, max_size=4))
        if not content:
            break
    path = tmp_path_factory.mktemp("damage") / name
    path.write_bytes(bytes(content))
    try:
        table = load(path, targets=None if name.endswith(".mat") else ["u", "v"])
    except DataError as error:
        assert str(error)  # noqa: PT017 - the other outcome is a table
    else:
        assert isinstance(table, Table)
        assert np.isfinite(table.inputs).all()
        assert np.isfinite(table.targets).all()
