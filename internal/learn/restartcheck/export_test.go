package restartcheck

// Try tries one store alone.
var Try = try
