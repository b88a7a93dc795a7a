import example

try:
    print(example.first([]))
except ValueError as error:
    print(error)
