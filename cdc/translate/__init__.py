"""Change events to official events: rules are compiled once per schema, then applied per row.

`settings` is what a connector file says, `check` says what is wrong with it, `rule` and `plan`
are its compiled form, `translator` the step of the loop.
"""
