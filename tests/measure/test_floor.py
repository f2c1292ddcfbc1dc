"""The floors end, whatever the size of a chunk."""
import pytest

from cambist.measure.floor import echo_seconds


@pytest.mark.parametrize("size", [1, 1_024_000, 32 << 20])
def test_a_chunk_that_no_buffer_takes_at_once_is_echoed(tmp_path, size):
    assert echo_seconds(tmp_path / "echo.sock", bytes(size), 3) > 0
