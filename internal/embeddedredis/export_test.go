package embeddedredis

// StartWith is Start with another function to listen.
var StartWith = start
