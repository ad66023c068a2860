"""The `python` codegen: a function that a request brings, run in a child process that can do little else.

`transform.transform_python` is what the engine calls; `child` is the program of the child process, `confinement` (with
`seccomp` and `landlock`) is what keeps it in.
"""
