# Types of temporal.py, for the compiled form.
from cdc.capture.avro_out cimport Out

cdef enum:
    NO_DATE = -1073741824

cdef long long fraction_micros(long long number, long long digits) noexcept
cdef long long time_micros(long long stored, long long size, long long digits) noexcept
cdef long long old_time_micros(long long number) noexcept
cdef long long old_datetime_packed(long long number) noexcept
cdef long long days(long long year, long long month, long long day) noexcept
cdef void write_two(Out out, long long value) noexcept
cdef void write_date(Out out, long long days) noexcept
