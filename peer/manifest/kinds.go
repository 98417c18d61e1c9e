package manifest

import (
	"reflect"
	"sort"
)

// Kind is one kind of object, with the names that the API and people use for it.
type Kind struct {
	Name       string // "Deployment"
	APIVersion string // "apps/v1"
	Plural     string // "deployments"
	Singular   string // "deployment"
	Short      string // "deploy"
	Namespaced bool

	shape reflect.Type // the struct that describes its fields
}

var kinds = map[string]Kind{
	"DaemonSet": {Name: "DaemonSet", APIVersion: "apps/v1", Plural: "daemonsets", Singular: "daemonset",
		Short: "ds", Namespaced: true, shape: reflect.TypeFor[daemonSet]()},
	"Deployment": {Name: "Deployment", APIVersion: "apps/v1", Plural: "deployments", Singular: "deployment",
		Short: "deploy", Namespaced: true, shape: reflect.TypeFor[deployment]()},
	"Namespace": {Name: "Namespace", APIVersion: "v1", Plural: "namespaces", Singular: "namespace",
		Short: "ns", shape: reflect.TypeFor[namespace]()},
	"Node": {Name: "Node", APIVersion: "v1", Plural: "nodes", Singular: "node",
		Short: "no", shape: reflect.TypeFor[nodeObject]()},
	"PodDisruptionBudget": {Name: "PodDisruptionBudget", APIVersion: "policy/v1", Plural: "poddisruptionbudgets", Singular: "poddisruptionbudget",
		Short: "pdb", Namespaced: true, shape: reflect.TypeFor[budgetObject]()},
	"PriorityClass": {Name: "PriorityClass", APIVersion: "scheduling.k8s.io/v1", Plural: "priorityclasses", Singular: "priorityclass",
		Short: "pc", shape: reflect.TypeFor[priorityClass]()},
}

// Kinds returns the kinds that can be written, sorted by name.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for _, k := range kinds {
		all = append(all, k)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// KindOf returns the kind of that name.
func KindOf(name string) (Kind, bool) {
	k, ok := kinds[name]
	return k, ok
}

// The tags of the structs below:
//
//	json:"name"      the field's name
//	rule:"a,b=1"     what its value must be, see rules.go; "required": it must be there
//	default:"x"      the value that leaving it out means
//	key:"a,b"        of a list: it is a map by these fields of its entries
//	values:"cpu"     of a map: the keys it may have
//	also:"NAME/NAME" of such a map: also every key with a domain, as extended resources have
//	patch:"replace"  of a list with a key: a strategic merge patch gives all of it, as in Kubernetes
//
// and of the blank field:
//
//	later:"x y"      Kubernetes' fields that are refused for now
//	harmless:"x y"   Kubernetes' fields that are accepted with a warning
//	server:"x y"     fields that only the server sets; ignored

type deployment struct {
	_          struct{}       `server:"status"`
	APIVersion string         `json:"apiVersion" rule:"required"`
	Kind       string         `json:"kind" rule:"required"`
	Metadata   metadata       `json:"metadata" rule:"required"`
	Spec       deploymentSpec `json:"spec" rule:"required"`
}

type namespace struct {
	_          struct{}      `server:"status"`
	APIVersion string        `json:"apiVersion" rule:"required"`
	Kind       string        `json:"kind" rule:"required"`
	Metadata   metadata      `json:"metadata" rule:"required"`
	Spec       namespaceSpec `json:"spec"`
}

type namespaceSpec struct {
	_ struct{} `harmless:"finalizers"`
}

type metadata struct {
	_           struct{}          `later:"finalizers ownerReferences generateName" server:"uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds managedFields selfLink"`
	Name        string            `json:"name" rule:"required,label"`
	Namespace   string            `json:"namespace" rule:"label"`
	Labels      map[string]string `json:"labels" rule:"labels"`
	Annotations map[string]string `json:"annotations" rule:"annotations"`
}

type deploymentSpec struct {
	_               struct{} `later:"paused" harmless:"revisionHistoryLimit progressDeadlineSeconds"`
	Replicas        *int64   `json:"replicas" rule:"min=0,max=10000" default:"1"`
	Selector        selector `json:"selector" rule:"required"`
	Strategy        strategy `json:"strategy"`
	MinReadySeconds int64    `json:"minReadySeconds" rule:"min=0,max=86400"`
	Template        template `json:"template" rule:"required"`
}

type selector struct {
	_           struct{}          `later:"matchExpressions"`
	MatchLabels map[string]string `json:"matchLabels" rule:"required,labels"`
}

type strategy struct {
	Type          string         `json:"type" rule:"oneof=RollingUpdate|Recreate" default:"RollingUpdate"`
	RollingUpdate *rollingUpdate `json:"rollingUpdate"`
}

type rollingUpdate struct {
	MaxSurge       *Amount `json:"maxSurge"`
	MaxUnavailable *Amount `json:"maxUnavailable"`
}

type template struct {
	Metadata templateMetadata `json:"metadata"`
	Spec     podSpec          `json:"spec" rule:"required"`
}

type templateMetadata struct {
	_           struct{}          `later:"finalizers ownerReferences generateName" harmless:"name namespace" server:"uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds managedFields selfLink"`
	Labels      map[string]string `json:"labels" rule:"labels"`
	Annotations map[string]string `json:"annotations" rule:"annotations"`
}

type podSpec struct {
	_                             struct{}          `later:"initContainers ephemeralContainers priority hostNetwork hostPID hostIPC hostUsers hostAliases subdomain dnsConfig nodeName runtimeClassName readinessGates schedulingGates overhead activeDeadlineSeconds shareProcessNamespace resourceClaims resources setHostnameAsFQDN hostnameOverride workloadRef" harmless:"dnsPolicy schedulerName enableServiceLinks serviceAccountName serviceAccount automountServiceAccountToken imagePullSecrets"`
	Containers                    []container       `json:"containers" key:"name" rule:"required"`
	Volumes                       []volume          `json:"volumes" key:"name"`
	NodeSelector                  map[string]string `json:"nodeSelector" rule:"labels"`
	TerminationGracePeriodSeconds *int64            `json:"terminationGracePeriodSeconds" rule:"min=0,max=86400" default:"30"`
	RestartPolicy                 string            `json:"restartPolicy" rule:"oneof=Always" default:"Always"`
	Hostname                      string            `json:"hostname" rule:"label"`
	SecurityContext               *podSecurity      `json:"securityContext"`
	Affinity                      *affinity         `json:"affinity"`
	Tolerations                   []toleration      `json:"tolerations"`
	TopologySpreadConstraints     []spread          `json:"topologySpreadConstraints" key:"topologyKey,whenUnsatisfiable"`
	PriorityClassName             string            `json:"priorityClassName" rule:"label"`
	PreemptionPolicy              string            `json:"preemptionPolicy" rule:"oneof=PreemptLowerPriority|Never" default:"PreemptLowerPriority"`
	OS                            *podOS            `json:"os"`
}

type podOS struct {
	Name string `json:"name" rule:"required,oneof=linux"`
}

type podSecurity struct {
	_              struct{}        `later:"fsGroup fsGroupChangePolicy supplementalGroups supplementalGroupsPolicy seLinuxOptions seLinuxChangePolicy sysctls windowsOptions appArmorProfile"`
	RunAsUser      *int64          `json:"runAsUser" rule:"min=0,max=4294967294"`
	RunAsGroup     *int64          `json:"runAsGroup" rule:"min=0,max=4294967294"`
	RunAsNonRoot   *bool           `json:"runAsNonRoot"`
	SeccompProfile *seccompProfile `json:"seccompProfile"`
}

type container struct {
	_               struct{}           `later:"envFrom volumeDevices startupProbe lifecycle stdin stdinOnce tty resizePolicy restartPolicy restartPolicyRules" harmless:"imagePullPolicy terminationMessagePath terminationMessagePolicy"`
	Name            string             `json:"name" rule:"required,label"`
	Image           string             `json:"image" rule:"required,image"`
	Command         []string           `json:"command"`
	Args            []string           `json:"args"`
	WorkingDir      string             `json:"workingDir" rule:"absolute"`
	Env             []envVar           `json:"env" key:"name"`
	Ports           []containerPort    `json:"ports" key:"containerPort,protocol"`
	Resources       resources          `json:"resources"`
	ReadinessProbe  *probe             `json:"readinessProbe"`
	LivenessProbe   *probe             `json:"livenessProbe"`
	VolumeMounts    []volumeMount      `json:"volumeMounts" key:"mountPath"`
	SecurityContext *containerSecurity `json:"securityContext"`
}

type envVar struct {
	_     struct{} `later:"valueFrom"`
	Name  string   `json:"name" rule:"required,env"`
	Value string   `json:"value"`
}

type containerPort struct {
	Name          string `json:"name" rule:"portname"`
	ContainerPort int64  `json:"containerPort" rule:"required,min=1,max=65535"`
	Protocol      string `json:"protocol" rule:"oneof=TCP|UDP" default:"TCP"`
	HostPort      int64  `json:"hostPort" rule:"min=0,max=65535"`
	HostIP        string `json:"hostIP" rule:"address"`
}

type resources struct {
	_        struct{}            `later:"claims"`
	Limits   map[string]Quantity `json:"limits" values:"cpu memory ephemeral-storage pids" also:"NAME/NAME" later:"hugepages-2Mi hugepages-1Gi"`
	Requests map[string]Quantity `json:"requests" values:"cpu memory ephemeral-storage pids" also:"NAME/NAME" later:"hugepages-2Mi hugepages-1Gi"`
}

type probe struct {
	_                   struct{}   `later:"grpc terminationGracePeriodSeconds"`
	HTTPGet             *httpGet   `json:"httpGet"`
	TCPSocket           *tcpSocket `json:"tcpSocket"`
	Exec                *execProbe `json:"exec"`
	InitialDelaySeconds int64      `json:"initialDelaySeconds" rule:"min=0,max=86400"`
	PeriodSeconds       *int64     `json:"periodSeconds" rule:"min=1,max=86400" default:"10"`
	TimeoutSeconds      *int64     `json:"timeoutSeconds" rule:"min=1,max=86400" default:"1"`
	SuccessThreshold    *int64     `json:"successThreshold" rule:"min=1,max=1000" default:"1"`
	FailureThreshold    *int64     `json:"failureThreshold" rule:"min=1,max=1000" default:"3"`
}

type httpGet struct {
	_           struct{}     `later:"host"`
	Path        string       `json:"path" rule:"absolute" default:"/"`
	Port        PortRef      `json:"port" rule:"required"`
	Scheme      string       `json:"scheme" rule:"oneof=HTTP|HTTPS" default:"HTTP"`
	HTTPHeaders []httpHeader `json:"httpHeaders"`
}

type httpHeader struct {
	Name  string `json:"name" rule:"required"`
	Value string `json:"value"`
}

type tcpSocket struct {
	_    struct{} `later:"host"`
	Port PortRef  `json:"port" rule:"required"`
}

type execProbe struct {
	Command []string `json:"command" rule:"required"`
}

type volumeMount struct {
	_         struct{} `later:"subPath subPathExpr mountPropagation recursiveReadOnly"`
	Name      string   `json:"name" rule:"required,label"`
	MountPath string   `json:"mountPath" rule:"required,absolute"`
	ReadOnly  bool     `json:"readOnly"`
}

type volume struct {
	_        struct{}  `later:"configMap secret persistentVolumeClaim hostPath projected downwardAPI nfs csi ephemeral image iscsi fc glusterfs rbd cephfs cinder azureDisk azureFile gcePersistentDisk awsElasticBlockStore flexVolume flocker gitRepo photonPersistentDisk portworxVolume quobyte scaleIO storageos vsphereVolume"`
	Name     string    `json:"name" rule:"required,label"`
	EmptyDir *emptyDir `json:"emptyDir"`
}

type emptyDir struct {
	_         struct{}  `later:"medium"`
	SizeLimit *Quantity `json:"sizeLimit"`
}

type containerSecurity struct {
	_                        struct{}        `later:"privileged seLinuxOptions appArmorProfile procMount windowsOptions"`
	ReadOnlyRootFilesystem   bool            `json:"readOnlyRootFilesystem"`
	AllowPrivilegeEscalation *bool           `json:"allowPrivilegeEscalation"`
	RunAsUser                *int64          `json:"runAsUser" rule:"min=0,max=4294967294"`
	RunAsGroup               *int64          `json:"runAsGroup" rule:"min=0,max=4294967294"`
	RunAsNonRoot             *bool           `json:"runAsNonRoot"`
	Capabilities             capabilities    `json:"capabilities"`
	SeccompProfile           *seccompProfile `json:"seccompProfile"`
}

type capabilities struct {
	Add  []string `json:"add" rule:"capability"`
	Drop []string `json:"drop" rule:"capability"`
}

type seccompProfile struct {
	_    struct{} `later:"localhostProfile"`
	Type string   `json:"type" rule:"required,oneof=RuntimeDefault"`
}
