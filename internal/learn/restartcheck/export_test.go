package restartcheck

// Try tests one store.
var Try = try
