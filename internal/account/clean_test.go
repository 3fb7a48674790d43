package account

import "testing"

// What is kept is as it would be kept again: nothing drifts when a form is
// saved twice, and no address has two keys.
func FuzzKeptTextStaysTheSame(f *testing.F) {
	for _, seed := range []string{"Ada", "e\u0301", "\u0130", "\u212a", "\u1e9e", "\u01c5", "\u0344", "\u03a3\u03c2", "\u0345\u0399", " \xff\x00"} {
		f.Add(seed, seed+"@"+seed)
	}
	f.Fuzz(func(t *testing.T, name, email string) {
		if kept, problem := cleanName(name); problem == "" {
			if again, problem := cleanName(kept); again != kept || problem != "" {
				t.Errorf("name %q kept as %q, then as %q: %s", name, kept, again, problem)
			}
		}
		kept, key, problem := cleanEmail(email)
		if problem != "" {
			return
		}
		if again, againKey, problem := cleanEmail(kept); again != kept || againKey != key || problem != "" {
			t.Errorf("%q kept as %q with key %q, then as %q with key %q: %s", email, kept, key, again, againKey, problem)
		}
		if _, keyKey, problem := cleanEmail(key); keyKey != key || problem != "" {
			t.Errorf("%q has the key %q, which has the key %q: %s", email, key, keyKey, problem)
		}
	})
}
