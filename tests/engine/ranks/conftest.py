"""One pool of ranks for all tests of this folder."""

from collections.abc import Iterator

import pytest

from .pool import Pool


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> Iterator[Pool]:
    """Four ranks; cases run on the first two, three or four."""
    ranks = Pool(4, tmp_path_factory.mktemp("ranks") / "meeting")
    yield ranks
    ranks.close()
