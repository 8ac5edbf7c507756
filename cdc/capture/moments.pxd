# Types of moments.py, for the compiled form.
from cdc.capture.avro_out cimport Out
from cdc.capture.columns cimport ColumnPlan

cdef enum:
    DAY_MICROS = 86400000000
    NANO_SECONDS_MAX = 9223372035

cdef int put_date(ColumnPlan column, long long packed, Out out) except? -1
cdef int put_time(ColumnPlan column, long long micros, Out out) except? -1
cdef int put_moment(ColumnPlan column, long long packed, long long micros, Out out) except? -1
cdef int put_timestamp(
    ColumnPlan column, long long seconds, long long micros, long long digits, Out out) except? -1
