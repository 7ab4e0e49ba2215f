"""Takes memory without end and swallows the errors."""

taken = []
while True:
    try:
        taken.append(bytearray(8 << 20))
    except MemoryError:
        print(len(taken) * 8, flush=True)
        raise
