package password

// CallBefore makes h call f in the slot of each hash before it is computed.
func (h *Hasher) CallBefore(f func()) {
	idKey := h.idKey
	h.idKey = func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, keyLen uint32) []byte {
		f()
		return idKey(password, salt, passes, memoryKiB, lanes, keyLen)
	}
}
