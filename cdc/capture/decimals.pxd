# Types of decimals.py, for the compiled form.
from cdc.capture.avro_out cimport Out
from cdc.capture.columns cimport ColumnPlan

cdef enum:
    SMALL_DIGITS_MAX = 18
    DOUBLE_DIGITS_MAX = 15

cdef int put_decimal(
    ColumnPlan column, const unsigned char *data, Py_ssize_t at, Out out) except? -1
cdef void put_unscaled(long long value, Out out) noexcept
