"""Files that run inside the sandbox, beside the program that is checked.

They are given to the sandbox as sources and import the standard library alone. What they print is
read by `pipelines.synthesize.programs.verdicts`; a program that deceives them deceives about
itself only.
"""
