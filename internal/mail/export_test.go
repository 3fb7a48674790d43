package mail

import "time"

// GiveUpAfter has a way wait for its server no longer than a test does.
func (s *SMTP) GiveUpAfter(limit time.Duration) { s.timeout = limit }
