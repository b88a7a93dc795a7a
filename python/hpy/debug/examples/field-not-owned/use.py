import gc

import example

first, second = example.Node(), example.Node()
second.set_value("something")
first.set_next(second)
gc.collect()
