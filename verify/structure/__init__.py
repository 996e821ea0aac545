"""What the structure of a net shows without going through its markings.

`reductions` makes nets smaller and keeps what is asked of them, `free_choice` is the rank theorem,
`elimination` the exact linear algebra below it; `siphons` shows that places stay empty, `weights`
that a sum of tokens never changes.
"""
