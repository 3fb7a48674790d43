package embeddedredis

// StartWith is Start on a system that listens in its own way.
var StartWith = start
