package main

import "slices"

// spread summarises several values.
type spread struct{ median, least, most float64 }

// spreadOf needs at least one value.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return spread{median: median, least: sorted[0], most: sorted[len(sorted)-1]}
}

// ratios divides pair by pair: each pair is from the same round, when the machine was
// equally busy for both servers.
func ratios(values, by []float64) []float64 {
	var all []float64
	for i := range values {
		all = append(all, values[i]/by[i])
	}
	return all
}

// figures returns one figure of every round.
func figures(loads []load, of func(load) float64) []float64 {
	var all []float64
	for _, seen := range loads {
		all = append(all, of(seen))
	}
	return all
}

func median(loads []load, of func(load) float64) float64 { return spreadOf(figures(loads, of)).median }

// compared returns the spread of the ratios of one figure within a round.
func compared(loads, with []load, of func(load) float64) spread {
	return spreadOf(ratios(figures(loads, of), figures(with, of)))
}
