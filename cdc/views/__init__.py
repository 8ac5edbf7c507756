"""Official events to view tables, each event applied exactly once.

`settings` is what a connector file says, `projection` turns an event into changes of rows,
`store` says what a place for views promises, `sqlite` is one.
"""
