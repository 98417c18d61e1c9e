package manifest

// The kinds beside Deployment and Namespace; the tags are explained in kinds.go.

// daemonSet runs one replica on each peer that its template allows.
type daemonSet struct {
	_          struct{}      `server:"status"`
	APIVersion string        `json:"apiVersion" rule:"required"`
	Kind       string        `json:"kind" rule:"required"`
	Metadata   metadata      `json:"metadata" rule:"required"`
	Spec       daemonSetSpec `json:"spec" rule:"required"`
}

type daemonSetSpec struct {
	_               struct{}       `harmless:"revisionHistoryLimit"`
	Selector        selector       `json:"selector" rule:"required"`
	UpdateStrategy  daemonStrategy `json:"updateStrategy"`
	MinReadySeconds int64          `json:"minReadySeconds" rule:"min=0,max=86400"`
	Template        template       `json:"template" rule:"required"`
}

type daemonStrategy struct {
	Type          string         `json:"type" rule:"oneof=RollingUpdate" default:"RollingUpdate"`
	RollingUpdate *daemonRolling `json:"rollingUpdate"`
}

type daemonRolling struct {
	MaxSurge       *Amount `json:"maxSurge"`
	MaxUnavailable *Amount `json:"maxUnavailable"`
}

// nodeObject is what users say of a peer. The rest of what a Node shows is the peer's own word.
type nodeObject struct {
	_          struct{} `server:"status"`
	APIVersion string   `json:"apiVersion" rule:"required"`
	Kind       string   `json:"kind" rule:"required"`
	Metadata   metadata `json:"metadata" rule:"required"`
	Spec       nodeSpec `json:"spec"`
}

type nodeSpec struct {
	_             struct{} `server:"podCIDR podCIDRs providerID" later:"configSource externalID"`
	Unschedulable bool     `json:"unschedulable"`
	Taints        []taint  `json:"taints" key:"key,effect" patch:"replace"`
}

type taint struct {
	_      struct{} `server:"timeAdded"`
	Key    string   `json:"key" rule:"required,labelkey"`
	Value  string   `json:"value" rule:"labelvalue"`
	Effect string   `json:"effect" rule:"required,oneof=NoSchedule|PreferNoSchedule|NoExecute"`
}

// budgetObject says how many replicas may be away at once by intention.
type budgetObject struct {
	_          struct{}   `server:"status"`
	APIVersion string     `json:"apiVersion" rule:"required"`
	Kind       string     `json:"kind" rule:"required"`
	Metadata   metadata   `json:"metadata" rule:"required"`
	Spec       budgetSpec `json:"spec" rule:"required"`
}

type budgetSpec struct {
	Selector                   *labelSelector `json:"selector" rule:"required"`
	MinAvailable               *Amount        `json:"minAvailable"`
	MaxUnavailable             *Amount        `json:"maxUnavailable"`
	UnhealthyPodEvictionPolicy string         `json:"unhealthyPodEvictionPolicy" rule:"oneof=IfHealthyBudget|AlwaysAllow" default:"IfHealthyBudget"`
}

// priorityClass gives a priority a name.
type priorityClass struct {
	APIVersion       string   `json:"apiVersion" rule:"required"`
	Kind             string   `json:"kind" rule:"required"`
	Metadata         metadata `json:"metadata" rule:"required"`
	Value            *int64   `json:"value" rule:"required,min=-2147483648,max=1000000000"`
	GlobalDefault    bool     `json:"globalDefault"`
	Description      string   `json:"description"`
	PreemptionPolicy string   `json:"preemptionPolicy" rule:"oneof=PreemptLowerPriority|Never" default:"PreemptLowerPriority"`
}
