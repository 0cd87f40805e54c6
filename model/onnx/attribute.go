package onnx

// Attribute is a constant setting of an operator.
type Attribute []byte

func attribute(name string, kind int64, add func(*message)) Attribute {
	var m message
	m.text(attrName, name)
	add(&m)
	m.integer(attrType, kind)
	return Attribute(m)
}

// Int is an integer attribute.
func Int(name string, v int64) Attribute {
	return attribute(name, typeInt, func(m *message) { m.integer(attrInt, v) })
}

// Float is a float32 attribute.
func Float(name string, v float32) Attribute {
	return attribute(name, typeFloat, func(m *message) { m.float(attrFloat, v) })
}

// Ints is an attribute of many integers.
func Ints(name string, values []int64) Attribute {
	return attribute(name, typeInts, func(m *message) { m.integers(attrInts, values) })
}

// Floats is an attribute of many float32.
func Floats(name string, values []float32) Attribute {
	return attribute(name, typeFloats, func(m *message) { m.floats(attrFloats, values) })
}

// Text is an attribute of one string.
func Text(name, v string) Attribute {
	return attribute(name, typeString, func(m *message) { m.text(attrString, v) })
}

// Strings is an attribute of many strings.
func Strings(name string, values []string) Attribute {
	return attribute(name, typeStrings, func(m *message) {
		for _, v := range values {
			m.text(attrStrings, v)
		}
	})
}

// Doubles is an attribute that holds a vector of doubles as a tensor.
func Doubles(name string, values []float64) Attribute {
	return attribute(name, typeOfTensor, func(m *message) {
		m.bytes(attrTensor, doublesTensor(name, []int64{int64(len(values))}, values))
	})
}
