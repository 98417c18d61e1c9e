package image

import (
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	digest := digestOf(nil)
	for text, want := range map[string]string{
		"web":                                   "web:latest",
		"web:1":                                 "web:1",
		"shop/web:1.2-rc_3":                     "shop/web:1.2-rc_3",
		"shoal.example/web:1":                   "shoal.example/web:1",
		"localhost:5000/a/b":                    "localhost:5000/a/b:latest",
		"docker.io/library/web:1":               "web:1",
		"docker.io/shop/web":                    "shop/web:latest",
		"index.docker.io/library/web:1":         "web:1",
		"Registry.example/web:1":                "Registry.example/web:1",
		"web@" + digest:                         "web@" + digest,
		"web:1@" + digest:                       "web:1@" + digest,
		digest:                                  digest,
		"a__b/c---d.e:T":                        "a__b/c---d.e:T",
		"":                                      "",
		"Web":                                   "",
		"web:":                                  "",
		"web:-1":                                "",
		"web@sha256:12":                         "",
		"web@md5:d41d8cd98f00b204e9800998ecf84": "",
		"sha256:zz":                             "sha256:zz",
		"../web":                                "",
		"/web":                                  "",
		"web/":                                  "",
		"we b":                                  "",
		"a//b":                                  "",
		"a..b":                                  "",
		"http://a/b":                            "",
		"web:" + strings.Repeat("x", 129):       "",
		strings.Repeat("x", 600):                "",
	} {
		got, err := Normalise(text)
		if err == nil && got != want || err != nil && want != "" {
			t.Errorf("Normalise(%q) = %q, %v, want %q", text, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := Normalise(got); err != nil || again != got {
			t.Errorf("Normalise(%q) = %q, %v: not a fixed point", got, again, err)
		}
	}
}
