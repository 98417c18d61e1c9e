package control

// FloorStatus returns how far the forgetting of deletions is, and who holds it up.
func (m *Machine) FloorStatus() FloorStatus { return FloorStatus{} }
