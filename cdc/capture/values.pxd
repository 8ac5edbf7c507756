# Types of values.py, for the compiled form.
from cdc.capture.avro_out cimport Out
from cdc.capture.columns cimport ColumnPlan

cdef Py_ssize_t put_value(
    ColumnPlan column, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
    Out out) except? -1
cdef Py_ssize_t step_over(
    ColumnPlan column, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
