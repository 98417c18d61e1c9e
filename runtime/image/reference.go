package image

import (
	"fmt"
	"regexp"
	"strings"
)

const digestPattern = `sha256:[0-9a-f]{64}`

var (
	digestForm    = regexp.MustCompile(`^` + digestPattern + `$`)
	referenceForm = regexp.MustCompile(`^((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?/)?` +
		`[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*)` +
		`(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?` +
		`(?:@(` + digestPattern + `))?$`)
)

// maxReferenceBytes bounds a reference's length.
const maxReferenceBytes = 512

// Normalise gives a reference the form in which it is stored and compared, by the rule in the package's doc.
func Normalise(reference string) (string, error) {
	parsed, err := parseReference(reference)
	return parsed.String(), err
}

// reference is a parsed reference. tag is empty only when there is a digest.
type reference struct{ name, tag, digest string }

func (r reference) String() string {
	text := r.name
	if r.tag != "" {
		text += ":" + r.tag
	}
	switch {
	case r.digest == "":
		return text
	case r.name == "":
		return r.digest
	}
	return text + "@" + r.digest
}

func parseReference(text string) (reference, error) {
	if digestForm.MatchString(text) {
		return reference{digest: text}, nil
	}
	parts := referenceForm.FindStringSubmatch(text)
	if parts == nil || len(text) > maxReferenceBytes {
		return reference{}, fmt.Errorf("%q is no image reference: want NAME, NAME:TAG or NAME@sha256:…, the name in lower case", shorten(text))
	}
	r := reference{name: familiar(parts[1]), tag: parts[2], digest: parts[3]}
	if r.tag == "" && r.digest == "" {
		r.tag = "latest"
	}
	return r, nil
}

// familiar leaves out what Docker's tools add to short names.
func familiar(name string) string {
	for _, host := range []string{"docker.io/", "index.docker.io/"} {
		if rest, ok := strings.CutPrefix(name, host); ok {
			return strings.TrimPrefix(rest, "library/")
		}
	}
	return name
}

func shorten(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}
