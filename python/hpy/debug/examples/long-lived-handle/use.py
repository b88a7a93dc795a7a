import example

import hpy.debug

hpy.debug.configure(long_lived=True)
example.remember("something")
print(*hpy.debug.leaks(), sep="\n")
example.forget()
