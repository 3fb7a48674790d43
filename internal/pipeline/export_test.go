package pipeline

// Waiting returns how many commands wait for a connection and how many are in flight.
func (c *Client) Waiting() (pending, sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.live {
		sent += len(l.sent)
	}
	return len(c.pending), sent
}
