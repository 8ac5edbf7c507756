# Types of moments.py, for the compiled form.
from cdc.capture.avro_out cimport Out
from cdc.capture.columns cimport ColumnPlan

cdef int put_date(ColumnPlan column, long long packed, Out out) except? -1
cdef int put_time(ColumnPlan column, long long micros, Out out) except? -1
cdef int put_moment(ColumnPlan column, long long packed, long long micros, Out out) except? -1
cdef int put_timestamp(
    ColumnPlan column, long long seconds, long long micros, long long digits, Out out) except? -1
