package password

// CallBefore makes h call f in the slot of each hash before it is computed.
func (h *Hasher) CallBefore(f func()) { h.hashing = f }
