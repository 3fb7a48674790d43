package restartcheck

// Try tests one store.
var Try = try

// Fit finds the line that fits points best.
var Fit = fit
