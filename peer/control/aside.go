package control

// Aside returns what was set aside because it made the code fail, sorted by site and subject.
func (m *Machine) Aside() []AsideEntry { return nil }
