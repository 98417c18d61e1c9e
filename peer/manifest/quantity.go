package manifest

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Quantity is an amount in Kubernetes' notation: "50m", "0.5", "32Mi", "1G", "1e3". The zero Quantity is none.
type Quantity struct {
	text  string
	milli int64 // thousandths, rounded up
}

var suffixes = []struct {
	text string
	of   *big.Rat
}{
	{"Ki", power(2, 10)}, {"Mi", power(2, 20)}, {"Gi", power(2, 30)}, {"Ti", power(2, 40)}, {"Pi", power(2, 50)}, {"Ei", power(2, 60)},
	{"n", new(big.Rat).Inv(power(10, 9))}, {"u", new(big.Rat).Inv(power(10, 6))}, {"m", new(big.Rat).Inv(power(10, 3))},
	{"k", power(10, 3)}, {"M", power(10, 6)}, {"G", power(10, 9)}, {"T", power(10, 12)}, {"P", power(10, 15)}, {"E", power(10, 18)},
}

func power(base, exponent int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil))
}

// ParseQuantity reads an amount that is not negative and at most 2^63 thousandths.
func ParseQuantity(text string) (Quantity, error) {
	number, scale := text, big.NewRat(1, 1)
	for _, s := range suffixes {
		if strings.HasSuffix(text, s.text) {
			number, scale = strings.TrimSuffix(text, s.text), s.of
			break
		}
	}
	if !decimal(number, scale.Cmp(big.NewRat(1, 1)) == 0) {
		return Quantity{}, fmt.Errorf(`%q is not an amount: write it like "500m", "0.5", "64Mi" or "1G"`, text)
	}
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return Quantity{}, fmt.Errorf("%q is not an amount", text)
	}
	value.Mul(value, scale).Mul(value, big.NewRat(1000, 1))
	milli := new(big.Int).Add(value.Num(), new(big.Int).Sub(value.Denom(), big.NewInt(1)))
	milli.Div(milli, value.Denom())
	if milli.Sign() < 0 {
		return Quantity{}, fmt.Errorf("%q is negative", text)
	}
	if !milli.IsInt64() {
		return Quantity{}, fmt.Errorf("%q is too large", text)
	}
	return Quantity{text: text, milli: milli.Int64()}, nil
}

// decimal says whether text is digits with at most one point, and an exponent of at most two digits where
// that is allowed: so short that exact arithmetic on it stays small.
func decimal(text string, exponent bool) bool {
	if len(text) > 40 {
		return false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		power := strings.TrimPrefix(strings.TrimPrefix(text[i+1:], "-"), "+")
		if !exponent || len(power) > 2 || !digits(power) {
			return false
		}
		text = text[:i]
	}
	whole, part, point := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+"), ".")
	if !point {
		return digits(whole)
	}
	return digits(whole+part) && (whole == "" || digits(whole)) && (part == "" || digits(part))
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// Millis is the amount in thousandths, rounded up: for CPU, in milli-cores.
func (q Quantity) Millis() int64 { return q.milli }

// Whole is the amount in whole units, rounded up: for memory, in bytes.
func (q Quantity) Whole() int64 { return q.milli/1000 + min(q.milli%1000, 1) }

func (q *Quantity) take(n *node) string {
	text, ok := n.value.(string)
	if number, isNumber := n.value.(json.Number); isNumber {
		text, ok = number.String(), true
	}
	if !ok {
		return "must be an amount, not " + n.what()
	}
	parsed, err := ParseQuantity(text)
	if err != nil {
		return err.Error()
	}
	*q = parsed
	return ""
}

func (q Quantity) canonical() string { return strconv.FormatInt(q.milli, 10) + "m" }

// Amount is a number of replicas, or a share of them.
type Amount struct {
	Number  int64
	Percent bool
}

func (a *Amount) take(n *node) string {
	text, isText := n.value.(string)
	number, isNumber := n.value.(json.Number)
	switch {
	case isText && strings.HasSuffix(text, "%"):
		text, a.Percent = strings.TrimSuffix(text, "%"), true
	case isNumber:
		text = number.String()
	default:
		return `must be a number or a share like "25%", not ` + n.what()
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || value > MaxReplicas {
		return fmt.Sprintf("must be from 0 to %d, or a share like \"25%%\"", MaxReplicas)
	}
	a.Number = value
	return ""
}

func (a Amount) canonical() string {
	if a.Percent {
		return strconv.FormatInt(a.Number, 10) + "%"
	}
	return strconv.FormatInt(a.Number, 10)
}

// of is the amount for that many replicas; shares are rounded up.
func (a Amount) of(replicas int64) int64 {
	if !a.Percent {
		return a.Number
	}
	return (a.Number*replicas + 99) / 100
}

// PortRef is a port by its number, or by its name among the container's ports.
type PortRef struct {
	Number uint16
	Name   string
}

func (p *PortRef) take(n *node) string {
	switch value := n.value.(type) {
	case string:
		if fault := portName(value); fault != "" {
			return fault
		}
		p.Name = value
	case json.Number:
		number, err := strconv.ParseUint(value.String(), 10, 16)
		if err != nil || number == 0 {
			return "must be from 1 to 65535, not " + value.String()
		}
		p.Number = uint16(number)
	default:
		return "must be a port's number or name, not " + n.what()
	}
	return ""
}

func (p PortRef) canonical() string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Number))
}
