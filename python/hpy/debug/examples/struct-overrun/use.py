import example

vector = example.Vector()
vector.fill()
