package session

import "slices"

// merge applies the changes from base to mine to theirs, the record that another
// request stored in the meantime. taken reports that the other request had already
// taken a flash that this request took.
func merge(base, mine, theirs Record) (merged Record, taken bool) {
	merged = theirs.clone()
	if merged.Values == nil {
		merged.Values = map[string]string{}
	}
	for key, value := range mine.Values {
		if before, had := base.Values[key]; !had || before != value {
			merged.Values[key] = value
		}
	}
	for key := range base.Values {
		if _, kept := mine.Values[key]; !kept {
			delete(merged.Values, key)
		}
	}
	for _, flash := range base.Flashes {
		if slices.Contains(mine.Flashes, flash) {
			continue
		}
		if !slices.Contains(merged.Flashes, flash) {
			taken = true
		}
		merged.Flashes = slices.DeleteFunc(merged.Flashes, func(f Flash) bool { return f == flash })
	}
	for _, flash := range mine.Flashes {
		if !slices.Contains(base.Flashes, flash) && !slices.Contains(merged.Flashes, flash) {
			merged.Flashes = append(merged.Flashes, flash)
		}
	}
	// Of a member only the name changes. A name that another request has stored
	// is later than the one this request read.
	if mine.Member != nil && base.Member != nil && theirs.Member != nil && theirs.Member.Name == base.Member.Name {
		merged.Member.Name = mine.Member.Name
	}
	if mine.LastSeenAt.After(merged.LastSeenAt) {
		merged.LastSeenAt = mine.LastSeenAt
	}
	return merged, taken
}
