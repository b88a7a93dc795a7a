import example

try:
    print(example.successor("forty"))
except TypeError as error:
    print(error)
