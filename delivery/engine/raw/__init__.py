"""The uproot-raw front end: selections in JSON whose expressions are those of uproot's own language.

`request` reads the JSON, `language` parses one expression, `terms` compiles it onto the engine's expressions,
`planning` makes the plan of one tree, `transform` runs a selection on one file. Nothing here executes the text of a
request.
"""
