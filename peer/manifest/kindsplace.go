package manifest

// The parts of a template that say where its replicas may be; the tags are explained in kinds.go.

type affinity struct {
	NodeAffinity    *nodeAffinity `json:"nodeAffinity"`
	PodAffinity     *podAffinity  `json:"podAffinity"`
	PodAntiAffinity *podAffinity  `json:"podAntiAffinity"`
}

type nodeAffinity struct {
	_         struct{}            `later:"requiredDuringSchedulingRequiredDuringExecution"`
	Required  *nodeSelectorTerms  `json:"requiredDuringSchedulingIgnoredDuringExecution"`
	Preferred []preferredNodeTerm `json:"preferredDuringSchedulingIgnoredDuringExecution"`
}

type nodeSelectorTerms struct {
	Terms []nodeTerm `json:"nodeSelectorTerms" rule:"required"`
}

type nodeTerm struct {
	MatchExpressions []nodeRequirement  `json:"matchExpressions"`
	MatchFields      []fieldRequirement `json:"matchFields"`
}

type preferredNodeTerm struct {
	Weight     int64    `json:"weight" rule:"required,min=1,max=100"`
	Preference nodeTerm `json:"preference" rule:"required"`
}

type nodeRequirement struct {
	Key      string   `json:"key" rule:"required,labelkey"`
	Operator string   `json:"operator" rule:"required,oneof=In|NotIn|Exists|DoesNotExist|Gt|Lt"`
	Values   []string `json:"values"`
}

type fieldRequirement struct {
	Key      string   `json:"key" rule:"required,oneof=metadata.name"`
	Operator string   `json:"operator" rule:"required,oneof=In|NotIn"`
	Values   []string `json:"values" rule:"required"`
}

type podAffinity struct {
	Required  []podTerm          `json:"requiredDuringSchedulingIgnoredDuringExecution"`
	Preferred []preferredPodTerm `json:"preferredDuringSchedulingIgnoredDuringExecution"`
}

type podTerm struct {
	_                 struct{}       `later:"matchLabelKeys mismatchLabelKeys"`
	LabelSelector     *labelSelector `json:"labelSelector" rule:"required"`
	Namespaces        []string       `json:"namespaces"`
	NamespaceSelector *labelSelector `json:"namespaceSelector"`
	TopologyKey       string         `json:"topologyKey" rule:"required,labelkey"`
}

type preferredPodTerm struct {
	Weight int64   `json:"weight" rule:"required,min=1,max=100"`
	Term   podTerm `json:"podAffinityTerm" rule:"required"`
}

type labelSelector struct {
	MatchLabels      map[string]string  `json:"matchLabels" rule:"labels"`
	MatchExpressions []labelRequirement `json:"matchExpressions"`
}

type labelRequirement struct {
	Key      string   `json:"key" rule:"required,labelkey"`
	Operator string   `json:"operator" rule:"required,oneof=In|NotIn|Exists|DoesNotExist"`
	Values   []string `json:"values"`
}

type toleration struct {
	Key               string `json:"key" rule:"labelkey"`
	Operator          string `json:"operator" rule:"oneof=Equal|Exists" default:"Equal"`
	Value             string `json:"value" rule:"labelvalue"`
	Effect            string `json:"effect" rule:"oneof=NoSchedule|PreferNoSchedule|NoExecute"`
	TolerationSeconds *int64 `json:"tolerationSeconds"`
}

type spread struct {
	_                  struct{}       `later:"matchLabelKeys"`
	MaxSkew            int64          `json:"maxSkew" rule:"required,min=1,max=10000"`
	TopologyKey        string         `json:"topologyKey" rule:"required,labelkey"`
	WhenUnsatisfiable  string         `json:"whenUnsatisfiable" rule:"required,oneof=DoNotSchedule|ScheduleAnyway"`
	LabelSelector      *labelSelector `json:"labelSelector"`
	MinDomains         *int64         `json:"minDomains" rule:"min=1,max=10000"`
	NodeAffinityPolicy string         `json:"nodeAffinityPolicy" rule:"oneof=Honor|Ignore" default:"Honor"`
	NodeTaintsPolicy   string         `json:"nodeTaintsPolicy" rule:"oneof=Honor|Ignore" default:"Ignore"`
}
