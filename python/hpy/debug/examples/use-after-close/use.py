import example

print(example.twice_the_first([21]))
