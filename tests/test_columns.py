"""Typed columns: what is packed comes back, in the narrowest type that holds it."""

import base64
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipctrace.reports.columns import element, narrow, pack, planes, unpack


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([], "u1"),
        ([0, 255], "u1"),
        ([True, False], "u1"),
        ([0, 256], "u2"),
        ([0, 2**16], "u4"),
        ([0, 2**32], "f8"),
        ([-1, 3], "i2"),
        ([-40_000, 3], "i4"),
        ([-(2**31) - 1], "f8"),
        ([0.5], "f8"),
        (pd.Series([1, None], dtype="Int64"), "u1"),
        (pd.Series([255, None], dtype="Int64"), "u2"),
        (pd.Series([-1, None], dtype="Int64"), "f8"),
    ],
)
def test_a_column_takes_the_narrowest_type_that_holds_it(values, type):
    assert pack(values).type == type


def test_a_missing_value_is_nan_and_not_zero():
    array = narrow(pd.Series([7, None, 0], dtype="Int64"))
    assert array[0] == 7
    assert np.isnan(array[1])
    assert array[2] == 0


def test_planes_hold_first_bytes_first():
    assert planes(np.array([0x0102, 0x0304], "<u2")) == bytes([2, 4, 1, 3])


def test_packing_twice_gives_the_same_text():
    assert pack(range(1000)) == pack(range(1000))


def test_the_bytes_are_gzip_in_base64():
    assert gzip.decompress(base64.b64decode(pack([1, 2, 3]).data)) == bytes([1, 2, 3])


def test_a_column_is_an_inert_element_with_its_type():
    text = element("messages.size", pack([1, 2]))
    assert text.startswith(
        '<script type="application/x-column" id="column-messages.size" data-type="u1" data-rows="2">'
    )


@given(st.lists(st.integers(-(2**53), 2**53)))
def test_whole_numbers_come_back(values):
    assert unpack(pack(values)).tolist() == values


@given(st.lists(st.none() | st.integers(-(2**33), 2**33)))
def test_missing_numbers_come_back_as_nan(values):
    there = unpack(pack(pd.Series(values, dtype="Int64")))
    assert [None if np.isnan(value) else value for value in there.astype("f8")] == values


@given(st.lists(st.integers(0, 2**50)).map(sorted))
def test_sorted_times_come_back_from_their_differences(times):
    assert unpack(pack(times, differences=True)).tolist() == times


def test_sorted_times_pack_smaller_than_as_they_stand():
    times = np.cumsum(np.random.default_rng(1).integers(900, 1100, 10_000)) + 10**10
    assert len(pack(times, differences=True).data) < len(pack(times).data)
