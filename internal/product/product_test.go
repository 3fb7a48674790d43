package product_test

import (
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/product"
)

func TestTheNameFitsWhereverItStands(t *testing.T) {
	for pattern, value := range map[string]string{
		`^[\p{L}\p{N}]([\p{L}\p{N} .-]*[\p{L}\p{N}])?$`: product.Name,
		`^[a-z][a-z0-9]{0,31}$`:                         product.Slug,
		`^([a-z][a-z0-9]{0,31}-)?$`:                     product.CookiePrefix,
	} {
		if !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%q does not match %s", value, pattern)
		}
	}
	if want := strings.ToUpper(product.Slug) + "_"; product.EnvPrefix != want {
		t.Errorf("EnvPrefix is %q, want %q", product.EnvPrefix, want)
	}
}

// What is stored and sent under a name is lost when the name changes.
func TestNamesThatOthersRelyOnStay(t *testing.T) {
	original := "hold" + "fast" // in two parts, which a rename leaves alone
	if product.Slug != original {
		if product.CookiePrefix == "" {
			t.Error("a product of another name needs cookies of its own: set CookiePrefix")
		}
		return
	}
	for value, want := range map[string]string{
		product.SessionKeys: original + ":session:", product.SessionCookie: "session", product.PartingCookie: "parting", product.DeviceCookie: "device",
	} {
		if value != want {
			t.Errorf("%q was %q", value, want)
		}
	}
}
