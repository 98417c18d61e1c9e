package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"shoal/gossip/swim"
)

const (
	defaultData       = "/var/lib/shoal"
	defaultConfigFile = "/etc/shoal/config.yaml"
	environmentPrefix = "SHOAL"
)

// agentConfig is everything that can be set on an agent. The names of its keys are those of the flags, of the
// file, and, in capitals after SHOAL_ and with "_" for "-", of the environment.
type agentConfig struct {
	Name          string            `mapstructure:"name"`
	Data          string            `mapstructure:"data"`
	Bind          string            `mapstructure:"bind"`
	Advertise     string            `mapstructure:"advertise"`
	Port          int               `mapstructure:"port"`
	Join          string            `mapstructure:"join"`
	Ticket        string            `mapstructure:"ticket"`
	CgroupParent  string            `mapstructure:"cgroup-parent"`
	CPU           int64             `mapstructure:"cpu"`
	Memory        int64             `mapstructure:"memory"`
	ReserveCPU    int64             `mapstructure:"reserve-cpu"`
	ReserveMemory int64             `mapstructure:"reserve-memory"`
	Labels        map[string]string `mapstructure:"labels"`
	Zone          string            `mapstructure:"zone"`
	Storage       int64             `mapstructure:"storage"`
	Pids          int64             `mapstructure:"pids"`
	Devices       map[string]string `mapstructure:"devices"`
	Subnet        string            `mapstructure:"subnet"`
	Profile       string            `mapstructure:"profile"`
	LogLevel      string            `mapstructure:"log-level"`
}

// setting is one key of agentConfig with its default and its help.
type setting struct {
	key    string
	value  any
	help   string
	secret bool // config view hides it
}

func settings() []setting {
	host, _ := os.Hostname()
	return []setting{
		{key: "name", value: strings.ToLower(host), help: "name of this peer, unique in the cluster"},
		{key: "data", value: defaultData, help: "directory for everything that this peer keeps"},
		{key: "bind", value: "0.0.0.0", help: "address to listen on"},
		{key: "advertise", value: "", help: "address that other peers reach this one at (default: the one bound, else that of the default route)"},
		{key: "port", value: 7400, help: "port of the streams (TCP); gossip uses the next one (TCP and UDP)"},
		{key: "join", value: "", help: "HOST:PORT of any peer, to join its cluster (needs a ticket)"},
		{key: "ticket", value: "", help: "ticket from 'shoal ticket create', for the first start only", secret: true},
		{key: "cgroup-parent", value: "shoal", help: "cgroup under which containers run"},
		{key: "cpu", value: int64(0), help: "CPU for containers, in thousandths of a core (default: the machine's less the reserve)"},
		{key: "memory", value: int64(0), help: "memory for containers, in bytes (default: the machine's less the reserve)"},
		{key: "reserve-cpu", value: int64(100), help: "CPU kept for the machine itself, in thousandths of a core"},
		{key: "reserve-memory", value: int64(256 << 20), help: "memory kept for the machine itself, in bytes"},
		{key: "storage", value: int64(0), help: "disk for containers beside images, in bytes (default: nine tenths of the file system of the data directory)"},
		{key: "pids", value: int64(0), help: "processes and threads for containers (default: nine tenths of what the kernel allows)"},
		{key: "devices", value: map[string]string{}, help: "devices of this machine by the name under which containers ask for them, as in example.com/gpu=2"},
		{key: "labels", value: map[string]string{}, help: "labels of this peer, for node selectors"},
		{key: "zone", value: "", help: "zone of this peer, for spreading: its label topology.kubernetes.io/zone"},
		{key: "subnet", value: "", help: "subnet for this peer's containers (default: a /24 derived from its key)"},
		{key: "profile", value: swim.LAN.String(), help: "lan, wan or edge: how far this cluster's peers are from each other, and so how soon a silent one counts as lost; the same on all"},
		{key: "log-level", value: "info", help: "debug, info, warn or error"},
	}
}

// addConfigFlags gives a command one flag per setting, and --config.
func addConfigFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "configuration file (default "+defaultConfigFile+" where it exists)")
	for _, s := range settings() {
		switch value := s.value.(type) {
		case string:
			flags.String(s.key, value, s.help)
		case int:
			flags.Int(s.key, value, s.help)
		case int64:
			flags.Int64(s.key, value, s.help)
		case map[string]string:
			flags.StringToString(s.key, value, s.help)
		}
	}
}

// loadConfig merges defaults, file, environment and flags, in rising order, and reports all faults at once.
func loadConfig(flags *pflag.FlagSet) (agentConfig, *viper.Viper, error) {
	var config agentConfig
	v := viper.NewWithOptions(viper.KeyDelimiter(" ")) // labels have points in their names
	v.SetEnvPrefix(environmentPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	for _, s := range settings() {
		v.SetDefault(s.key, s.value)
		if err := errors.Join(v.BindEnv(s.key), v.BindPFlag(s.key, flags.Lookup(s.key))); err != nil {
			return config, v, err
		}
	}
	if err := readConfigFile(v, flags); err != nil {
		return config, v, fail(exitUsage, "%w", err)
	}
	if err := v.UnmarshalExact(&config, viper.DecodeHook(pairsOfText)); err != nil {
		return config, v, fail(exitUsage, "configuration: %w", err)
	}
	if err := config.Validate(); err != nil {
		return config, v, fail(exitUsage, "%w", err)
	}
	return config, v, nil
}

// pairsOfText reads a map as flags and the environment write it: a=b,c=d.
func pairsOfText(from, to reflect.Type, value any) (any, error) {
	text, ok := value.(string)
	if !ok || to != reflect.TypeFor[map[string]string]() {
		return value, nil
	}
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, both := strings.Cut(pair, "=")
		if !both {
			return nil, fmt.Errorf("%q is not KEY=VALUE,KEY=VALUE", text)
		}
		pairs[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return pairs, nil
}

func readConfigFile(v *viper.Viper, flags *pflag.FlagSet) error {
	file, _ := flags.GetString("config")
	if file == "" {
		if _, err := os.Stat(defaultConfigFile); err != nil {
			return nil
		}
		file = defaultConfigFile
	}
	v.SetConfigFile(file)
	if err := v.ReadInConfig(); err != nil {
		return fmt.Errorf("configuration file %s: %w", file, err)
	}
	return nil
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Validate reports all faults at once.
func (c agentConfig) Validate() error {
	var faults []error
	fault := func(format string, values ...any) { faults = append(faults, fmt.Errorf(format, values...)) }
	if !dnsLabel.MatchString(c.Name) {
		fault("name %q: use 1 to 63 lower-case letters, digits and '-'", c.Name)
	}
	if c.Data == "" {
		fault("data: a directory is needed")
	}
	if _, err := netip.ParseAddr(c.Bind); err != nil {
		fault("bind %q: not an IP address", c.Bind)
	}
	if _, err := netip.ParseAddr(c.Advertise); c.Advertise != "" && err != nil {
		fault("advertise %q: not an IP address", c.Advertise)
	}
	if c.Port < 1 || c.Port > 65534 {
		fault("port %d: use 1 to 65534, since gossip takes the next one", c.Port)
	}
	if c.Subnet != "" {
		if prefix, err := netip.ParsePrefix(c.Subnet); err != nil || !prefix.Addr().Is4() || prefix.Bits() > 28 {
			fault("subnet %q: use an IPv4 prefix of at most /28, as in 10.200.1.0/24", c.Subnet)
		}
	}
	if c.CPU < 0 || c.Memory < 0 || c.ReserveCPU < 0 || c.ReserveMemory < 0 {
		fault("cpu, memory and their reserves cannot be negative")
	}
	if c.Storage < 0 || c.Pids < 0 {
		fault("storage and pids cannot be negative")
	}
	faults = append(faults, c.validateLabels()...)
	if _, err := swim.ParseProfile(c.Profile); err != nil {
		fault("profile %w", err)
	}
	if _, ok := logLevels[c.LogLevel]; !ok {
		fault("log-level %q: use debug, info, warn or error", c.LogLevel)
	}
	if c.Join != "" && !strings.Contains(c.Join, ":") {
		fault("join %q: use HOST:PORT", c.Join)
	}
	return errors.Join(faults...)
}

func newConfig(*app) *cobra.Command {
	command := &cobra.Command{Use: "config", Short: "Show the configuration of an agent"}
	view := &cobra.Command{
		Use:   "view",
		Short: "Print every setting as an agent started here with the same flags would have it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, v, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			origin, _ := cmd.Flags().GetBool("show-origin")
			printConfig(cmd.OutOrStdout(), v, cmd.Flags(), origin)
			return nil
		},
	}
	addConfigFlags(view.Flags())
	view.Flags().Bool("show-origin", false, "say where each value comes from")
	command.AddCommand(view)
	return command
}

func printConfig(out io.Writer, v *viper.Viper, flags *pflag.FlagSet, origin bool) {
	for _, s := range settings() {
		value := v.Get(s.key)
		if s.secret && v.GetString(s.key) != "" {
			value = "(hidden)"
		}
		if labels, ok := value.(map[string]any); ok {
			value = sortedPairs(labels)
		}
		line := fmt.Sprintf("%s: %v", s.key, value)
		if origin {
			line = fmt.Sprintf("%-40s # %s", line, originOf(v, flags, s.key))
		}
		fmt.Fprintln(out, line)
	}
}

func sortedPairs(labels map[string]any) string {
	var pairs []string
	for key, value := range labels {
		pairs = append(pairs, fmt.Sprintf("%s=%v", key, value))
	}
	sort.Strings(pairs)
	return strings.Join(pairs, ",")
}

// originOf repeats viper's precedence: flag, environment, file, default.
func originOf(v *viper.Viper, flags *pflag.FlagSet, key string) string {
	if flags.Changed(key) {
		return "flag --" + key
	}
	variable := environmentPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
	if os.Getenv(variable) != "" {
		return "environment " + variable
	}
	if v.InConfig(key) {
		return "file " + v.ConfigFileUsed()
	}
	return "default"
}
