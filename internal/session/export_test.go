package session

// ByHandAt returns the lines for a Redis at this URL.
func ByHandAt(redisURL, key string) (ByHand, error) {
	at, err := atServer(redisURL, "")
	if err != nil {
		return ByHand{}, err
	}
	return at.byHand(key), nil
}
