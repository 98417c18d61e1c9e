package placement

// Plan assigns every wanted replica. It is pure: equal views, in any order, give equal plans.
func (v View) Plan() Plan { panic("unwritten") }

// Explain gives every peer's verdict on one replica under plan, which must be v.Plan(), in the replica's hash order.
func (v View) Explain(plan Plan, replica ReplicaID) []Verdict { panic("unwritten") }
