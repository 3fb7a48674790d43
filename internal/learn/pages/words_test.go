package pages

import "testing"

func TestANumberBeginsASentenceInWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "No", 1: "One", 7: "Seven", 12: "Twelve", 13: "13", 100: "100"} {
		if got := inWords(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
