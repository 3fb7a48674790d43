package account

import "testing"

// FuzzKeptTextStaysTheSame checks that cleaning text twice gives the same result as
// cleaning it once: saving a form twice changes nothing, and no address has two keys.
func FuzzKeptTextStaysTheSame(f *testing.F) {
	for _, seed := range []string{"Ada", "e\u0301", "\u0130", "\u212a", "\u1e9e", "\u01c5", "\u0344", "\u03a3\u03c2", "\u0345\u0399", " \xff\x00", "b\u00fccher.example", "xn--bcher-kva.example", "\uff42.\u3002", "\u0645\u06cc\u200c"} {
		f.Add(seed, seed+"@"+seed)
	}
	f.Fuzz(func(t *testing.T, name, email string) {
		if kept, problem := cleanName(name); problem == "" {
			if again, problem := cleanName(kept); again != kept || problem != "" {
				t.Errorf("name %q kept as %q, then as %q: %s", name, kept, again, problem)
			}
		}
		kept, problem := readAddress(email)
		if problem != "" {
			return
		}
		if again, problem := readAddress(kept.Email); again.Email != kept.Email || again.Key != kept.Key || problem != "" {
			t.Errorf("%q kept as %+v, then as %+v: %s", email, kept, again, problem)
		}
		for _, spelling := range []string{kept.Key, kept.Wire} {
			if again, problem := readAddress(spelling); again.Key != kept.Key || problem != "" {
				t.Errorf("%q is %+v, and %q is %+v: %s", email, kept, spelling, again, problem)
			}
		}
	})
}
